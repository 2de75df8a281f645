-- What the control plane knows beside runs. It serves one organisation, so no row names one. Messages are those of
-- `flyteidl2`.

CREATE TABLE project (
    name         TEXT    PRIMARY KEY,
    display_name TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    -- A JSON object.
    labels       TEXT    NOT NULL,
    -- `project.ProjectState`.
    state        INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deployed_task (
    -- In the order they were deployed.
    task_id           INTEGER PRIMARY KEY AUTOINCREMENT,
    project           TEXT    NOT NULL,
    domain            TEXT    NOT NULL,
    name              TEXT    NOT NULL,
    version           TEXT    NOT NULL,
    -- In `task_spec`.
    spec_digest       BLOB    NOT NULL,
    deployed_by       TEXT    NOT NULL,
    deployed_us       INTEGER NOT NULL,
    -- Of the spec, for listing.
    short_name        TEXT    NOT NULL,
    environment_name  TEXT    NOT NULL,
    short_description TEXT    NOT NULL,
    is_entrypoint     INTEGER NOT NULL,
    UNIQUE (project, domain, name, version)
) STRICT;

CREATE TABLE task_trigger (
    trigger_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    project      TEXT    NOT NULL,
    domain       TEXT    NOT NULL,
    task_name    TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    -- Counts up with each change, also over a deletion.
    revision     INTEGER NOT NULL,
    task_version TEXT    NOT NULL,
    -- `trigger.TriggerSpec`, whose `active` is the column, and `task.TriggerAutomationSpec`.
    spec         BLOB    NOT NULL,
    automation   BLOB    NOT NULL,
    is_active    INTEGER NOT NULL,
    deployed_by  TEXT    NOT NULL,
    updated_by   TEXT    NOT NULL,
    deployed_us  INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,
    triggered_us INTEGER,
    deleted_us   INTEGER,
    UNIQUE (project, domain, task_name, name)
) STRICT;

CREATE TABLE trigger_revision (
    trigger_id INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    -- `trigger.TriggerRevisionAction`.
    change     INTEGER NOT NULL,
    -- `trigger.TriggerDetails` as it was then.
    details    BLOB    NOT NULL,
    created_us INTEGER NOT NULL,
    PRIMARY KEY (trigger_id, revision)
) STRICT, WITHOUT ROWID;

-- Empty project and domain are the organisation; an empty project is all of a domain.
CREATE TABLE served_secret (
    project    TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    -- `secret.SecretType`.
    kind       INTEGER NOT NULL,
    -- Encrypted; the key is in a file of the home, beside the store.
    sealed     BLOB    NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (project, domain, name)
) STRICT, WITHOUT ROWID;

-- The same levels as those of secrets.
CREATE TABLE setting (
    project    TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    -- `settings.Settings`.
    settings   BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_by TEXT    NOT NULL,
    updated_us INTEGER NOT NULL,
    PRIMARY KEY (project, domain)
) STRICT, WITHOUT ROWID;
