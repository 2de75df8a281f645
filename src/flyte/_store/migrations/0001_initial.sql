-- Times are microseconds since 1970 in UTC. Phases and kinds are the numbers of the Flyte 2 protocol.

CREATE TABLE run (
    -- Never given out again: what is left of a deleted run must not meet a new one.
    run_id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT    NOT NULL UNIQUE,
    project          TEXT,
    domain           TEXT,
    org              TEXT,
    task_name        TEXT    NOT NULL,
    version          TEXT    NOT NULL DEFAULT '',
    mode             TEXT    NOT NULL,
    phase            INTEGER NOT NULL,
    created_us       INTEGER NOT NULL,
    ended_us         INTEGER,
    labels           TEXT    NOT NULL DEFAULT '{}',
    -- Who executes the run: with these it can be told whether that process still lives.
    owner_host       TEXT    NOT NULL,
    owner_boot_id    TEXT    NOT NULL,
    owner_pid        INTEGER NOT NULL,
    owner_started_us INTEGER NOT NULL,
    -- Renewed by the owner; of an owner on another host it is all that can be known.
    lease_until_us   INTEGER NOT NULL,
    -- Where the root task is declared, for resuming: a file, or empty.
    source_file      TEXT    NOT NULL,
    -- Settings that a resumed run needs again: a JSON object.
    settings         TEXT    NOT NULL
) STRICT;

-- The code of each task as the run first called it.
CREATE TABLE run_task (
    run_id       INTEGER NOT NULL,
    task_name    TEXT    NOT NULL,
    code_version TEXT    NOT NULL,
    PRIMARY KEY (run_id, task_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE action (
    -- run_id << 32 | sequence number in the run: the actions of a run lie together, in the order they were made.
    action_id    INTEGER PRIMARY KEY,
    run_id       INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    parent_id    INTEGER,
    kind         INTEGER NOT NULL,
    task_name    TEXT    NOT NULL,
    group_name   TEXT,
    phase        INTEGER NOT NULL,
    attempt_no   INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    started_us   INTEGER,
    ended_us     INTEGER,
    -- Serialized `flyteidl2.task.Inputs` and `Outputs`: in the row, or in a file whose path is relative to the home.
    inputs       BLOB,
    inputs_file  TEXT,
    outputs      BLOB,
    outputs_file TEXT,
    error        TEXT,
    -- Whether the outputs came from the cache: `flyteidl2.core.CatalogCacheStatus`.
    cache_status INTEGER NOT NULL,
    UNIQUE (run_id, name)
) STRICT;

-- Attempts that another one has followed; the last attempt of an action is what its own row says.
CREATE TABLE attempt (
    action_id  INTEGER NOT NULL,
    attempt_no INTEGER NOT NULL,
    phase      INTEGER NOT NULL,
    started_us INTEGER,
    ended_us   INTEGER,
    error      TEXT,
    PRIMARY KEY (action_id, attempt_no)
) STRICT, WITHOUT ROWID;

-- Whoever starts another attempt, by a retry or a resume, writes the row of the action and keeps the one before by that.
CREATE TRIGGER attempt_followed BEFORE UPDATE ON action WHEN new.attempt_no > old.attempt_no
BEGIN
    INSERT INTO attempt (action_id, attempt_no, phase, started_us, ended_us, error)
    VALUES (old.action_id, old.attempt_no, old.phase, old.started_us, old.ended_us, old.error);
END;

CREATE TABLE cache_entry (
    cache_key    TEXT    PRIMARY KEY,
    task_name    TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    interface    TEXT    NOT NULL,
    -- A JSON object: the hash of each input that counts. Tells later why another call missed.
    input_hashes TEXT    NOT NULL,
    created_us   INTEGER NOT NULL,
    run_name     TEXT    NOT NULL,
    action_name  TEXT    NOT NULL,
    outputs      BLOB,
    outputs_file TEXT
) STRICT;

CREATE INDEX cache_entry_by_task ON cache_entry (task_name, created_us);

-- A result being computed for others to wait for. It holds while its run is open and the lease of that run is current.
CREATE TABLE cache_reservation (
    cache_key TEXT    PRIMARY KEY,
    run_id    INTEGER NOT NULL
) STRICT;

-- What a cached action asked for and was told. Tells later why it missed.
CREATE TABLE cache_lookup (
    action_id    INTEGER PRIMARY KEY,
    cache_key    TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    interface    TEXT    NOT NULL,
    -- As in `cache_entry`; NULL for a hit, whose entry has them.
    input_hashes TEXT,
    answer       INTEGER NOT NULL,
    -- The entry that was used, or refused.
    found_us     INTEGER,
    found_run    TEXT,
    found_action TEXT
) STRICT;

-- What the version of a task was made from: a JSON object of the version that was set, or of code, salt and policies.
CREATE TABLE cache_version (
    task_name TEXT NOT NULL,
    version   TEXT NOT NULL,
    made_from TEXT NOT NULL,
    PRIMARY KEY (task_name, version)
) STRICT, WITHOUT ROWID;

-- What other processes ask of the owner of a run, until it has heard.
CREATE TABLE abort_request (
    run_id      INTEGER NOT NULL,
    -- The root action stands for the whole run.
    action_name TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    PRIMARY KEY (run_id, action_name)
) STRICT, WITHOUT ROWID;

-- Runs that are out of sight while their actions and files are deleted.
CREATE TABLE deleted_run (
    run_id INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL,
    -- Where its files are, relative to the home.
    folder TEXT    NOT NULL
) STRICT;

-- What an action of kind condition asks people, and what they answered.
CREATE TABLE condition (
    action_id   INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    prompt      TEXT    NOT NULL,
    prompt_type TEXT    NOT NULL,
    -- Name of the Python type of the answer: bool, int, float or str.
    data_type   TEXT    NOT NULL,
    description TEXT    NOT NULL,
    expires_us  INTEGER,
    -- JSON.
    answer      TEXT,
    answered_us INTEGER
) STRICT;
