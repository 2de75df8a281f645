-- What the control plane keeps of the runs it serves, beside what every run has. Messages are those of `flyteidl2`.

-- `task.TaskSpec` by the SHA-256 of its bytes.
CREATE TABLE task_spec (
    digest BLOB PRIMARY KEY,
    spec   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE served_run (
    run_id          INTEGER PRIMARY KEY,
    -- `task.RunSpec` as it was asked for.
    run_spec        BLOB    NOT NULL,
    -- `workflow.RunSource`.
    source          INTEGER NOT NULL,
    -- Subject of who asked for it; empty where nobody said who they are.
    created_by      TEXT    NOT NULL,
    -- The trigger that asked for it.
    trigger_name    TEXT,
    -- Where its actions have their folders, and where their data goes: addresses.
    base_dir        TEXT    NOT NULL,
    raw_data_prefix TEXT    NOT NULL,
    abort_reason    TEXT,
    aborted_by      TEXT
) STRICT;

CREATE TABLE served_action (
    action_id    INTEGER PRIMARY KEY,
    -- `workflow.ActionSpec` without the task's spec, which is by its digest in `task_spec`.
    target       BLOB    NOT NULL,
    spec_digest  BLOB,
    -- Under which its result is kept; NULL where none is.
    cache_key    TEXT,
    -- The run that the outcome was taken over from.
    recovered_from TEXT,
    -- Where its last attempt leaves its outputs; of a trace, the file that has them.
    output_uri   TEXT    NOT NULL,
    -- The attempt of its parent that called it last.
    called_in    INTEGER NOT NULL DEFAULT 0,
    -- Attempts that ended for a reason of their own, which are those that count against the retries.
    tries        INTEGER NOT NULL DEFAULT 0,
    -- The next attempt starts no earlier.
    due_us       INTEGER,
    abort_reason TEXT,
    aborted_by   TEXT,
    -- Who answered a condition.
    signalled_by TEXT
) STRICT;

CREATE INDEX run_by_place ON run (project, domain, run_id);
CREATE INDEX run_by_task ON run (task_name, run_id);
CREATE INDEX open_run ON run (run_id) WHERE phase IN (1, 2, 3, 4, 9);
