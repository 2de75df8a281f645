-- name: insert_run
INSERT INTO run (name, project, domain, org, task_name, version, mode, phase, created_us, labels,
                 owner_host, owner_boot_id, owner_pid, owner_started_us, lease_until_us, source_file, settings)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO NOTHING;

-- name: record_actions
-- {rows} is one group of placeholders an action. A success is never written over; a failed, aborted or timed-out record
-- only by a later attempt, and an open one never by an earlier.
INSERT INTO action (action_id, run_id, name, parent_id, kind, task_name, group_name, phase, attempt_no,
                    created_us, started_us, ended_us, inputs, inputs_file, outputs, outputs_file, error, cache_status)
VALUES {rows}
ON CONFLICT (action_id) DO UPDATE
   SET phase = excluded.phase, attempt_no = excluded.attempt_no, started_us = excluded.started_us,
       ended_us = excluded.ended_us, outputs = excluded.outputs, outputs_file = excluded.outputs_file,
       error = excluded.error, cache_status = excluded.cache_status
 WHERE (action.phase IN (1, 2, 3, 4, 9) AND action.attempt_no <= excluded.attempt_no)
    OR (action.phase IN (6, 7, 8) AND action.attempt_no < excluded.attempt_no);

-- name: claim_run
-- Whoever saw the run last with this owner may have it, unless it has succeeded or another was quicker.
UPDATE run SET phase = 4, ended_us = NULL, owner_host = :host, owner_boot_id = :boot_id, owner_pid = :pid,
               owner_started_us = :started_us, lease_until_us = :lease_until_us
 WHERE run_id = :run_id AND phase = :seen_phase AND phase <> 5
   AND owner_boot_id = :seen_boot_id AND owner_pid = :seen_pid AND owner_started_us = :seen_started_us
   AND lease_until_us = :seen_lease_until_us;

-- name: renew_lease
UPDATE run SET lease_until_us = ?
 WHERE run_id = ? AND phase IN (1, 2, 3, 4, 9) AND owner_boot_id = ? AND owner_pid = ? AND owner_started_us = ?;

-- name: is_owner
SELECT 1 FROM run WHERE run_id = ? AND owner_boot_id = ? AND owner_pid = ? AND owner_started_us = ?;

-- name: record_task
INSERT INTO run_task (run_id, task_name, code_version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: run_tasks
SELECT task_name, code_version FROM run_task WHERE run_id = ? ORDER BY task_name;

-- name: all_actions
SELECT action_id, run_id, name, parent_id, kind, task_name, group_name, phase, attempt_no, created_us, started_us,
       ended_us, inputs, inputs_file, outputs, outputs_file, error, cache_status
  FROM action WHERE action_id > :run_id << 32 AND action_id < (:run_id + 1) << 32;

-- name: end_run
UPDATE run SET phase = ?, ended_us = ? WHERE run_id = ? AND phase IN (1, 2, 3, 4, 9);

-- name: run_by_name
SELECT * FROM run WHERE name = ?;

-- name: list_runs
SELECT * FROM run
 WHERE (:before_run_id IS NULL OR run_id < :before_run_id)
   AND (:phases IS NULL OR phase IN (SELECT value FROM json_each(:phases)))
   AND (:task_name IS NULL OR task_name = :task_name)
   AND (:created_after_us IS NULL OR created_us >= :created_after_us)
   AND (:created_before_us IS NULL OR created_us < :created_before_us)
   AND (:labels IS NULL OR NOT EXISTS (
           SELECT 1 FROM json_each(:labels) AS wanted
            WHERE wanted.value IS NOT (SELECT had.value FROM json_each(run.labels) AS had WHERE had.key = wanted.key)))
   AND (:label_keys IS NULL OR NOT EXISTS (
           SELECT 1 FROM json_each(:label_keys) AS wanted
            WHERE wanted.value NOT IN (SELECT had.key FROM json_each(run.labels) AS had)))
 ORDER BY run_id DESC
 LIMIT :limit;

-- name: action_by_name
SELECT action.*, parent.name AS parent_name
  FROM action LEFT JOIN action AS parent ON parent.action_id = action.parent_id
 WHERE action.run_id = ? AND action.name = ?;

-- name: list_actions
SELECT action.*, parent.name AS parent_name
  FROM action LEFT JOIN action AS parent ON parent.action_id = action.parent_id
 WHERE action.action_id > :after_action_id AND action.action_id < (:run_id + 1) << 32
   AND (:phases IS NULL OR action.phase IN (SELECT value FROM json_each(:phases)))
 ORDER BY action.action_id
 LIMIT :limit;

-- name: list_attempts
SELECT attempt_no, phase, started_us, ended_us, error FROM attempt WHERE action_id = ? ORDER BY attempt_no;

-- name: count_actions
SELECT task_name, phase, count(*) AS count
  FROM action
 WHERE action_id > :run_id << 32 AND action_id < (:run_id + 1) << 32
 GROUP BY task_name, phase
 ORDER BY min(action_id);

-- name: abort_open_actions
UPDATE action SET phase = 7, ended_us = :ended_us, error = coalesce(:error, error)
 WHERE action_id > :run_id << 32 AND action_id < (:run_id + 1) << 32 AND phase IN (1, 2, 3, 4, 9);

-- name: count_cache_statuses
SELECT cache_status, count(*) FROM action
 WHERE action_id > :run_id << 32 AND action_id < (:run_id + 1) << 32 AND cache_status <> 0
 GROUP BY cache_status
 ORDER BY cache_status;

-- name: cache_entry
SELECT outputs, outputs_file, created_us, run_name, action_name FROM cache_entry WHERE cache_key = ?;

-- name: put_cache_entry
INSERT INTO cache_entry (cache_key, task_name, version, interface, input_hashes, created_us, run_name, action_name,
                         outputs, outputs_file)
VALUES {rows}
ON CONFLICT (cache_key) DO UPDATE
   SET created_us = excluded.created_us, run_name = excluded.run_name, action_name = excluded.action_name,
       outputs = excluded.outputs, outputs_file = excluded.outputs_file;

-- name: reserve_cache_key
INSERT INTO cache_reservation (cache_key, run_id) VALUES (:cache_key, :run_id)
ON CONFLICT (cache_key) DO UPDATE SET run_id = excluded.run_id
 WHERE cache_reservation.run_id = excluded.run_id
    OR NOT EXISTS (SELECT 1 FROM run
                    WHERE run.run_id = cache_reservation.run_id AND run.phase IN (1, 2, 3, 4, 9)
                      AND run.lease_until_us >= :now_us);

-- name: release_cache_key
DELETE FROM cache_reservation WHERE cache_key = ? AND run_id = ?;

-- name: release_cache_keys_of_run
DELETE FROM cache_reservation WHERE run_id = ?;

-- name: cache_key_holder
SELECT run.run_id, owner_host, owner_boot_id, owner_pid, owner_started_us, lease_until_us
  FROM cache_reservation JOIN run ON run.run_id = cache_reservation.run_id
 WHERE cache_key = ?;

-- name: put_cache_lookup
INSERT OR REPLACE INTO cache_lookup (action_id, cache_key, version, interface, input_hashes, answer, found_us,
                                     found_run, found_action)
VALUES {rows};

-- name: put_cache_version
INSERT INTO cache_version (task_name, version, made_from) VALUES (?, ?, ?)
ON CONFLICT (task_name, version) DO UPDATE SET made_from = excluded.made_from;

-- name: cache_lookup
SELECT * FROM cache_lookup WHERE action_id = ?;

-- name: cache_version
SELECT made_from FROM cache_version WHERE task_name = ? AND version = ?;

-- name: list_cache_entries
SELECT cache_key, task_name, version, interface, input_hashes, created_us, run_name, action_name,
       length(outputs) AS inline_bytes, outputs_file
  FROM cache_entry
 WHERE (:task_name IS NULL OR task_name = :task_name) AND (:before_us IS NULL OR created_us < :before_us)
 ORDER BY created_us DESC
 LIMIT :limit;

-- name: count_cache_entries
SELECT task_name, count(*) AS count
  FROM cache_entry
 WHERE (:task_name IS NULL OR task_name = :task_name) AND (:before_us IS NULL OR created_us < :before_us)
 GROUP BY task_name
 ORDER BY task_name;

-- name: delete_cache_entries
DELETE FROM cache_entry
 WHERE cache_key IN (SELECT cache_key FROM cache_entry
                      WHERE (:task_name IS NULL OR task_name = :task_name)
                        AND (:before_us IS NULL OR created_us < :before_us)
                      LIMIT :limit);

-- name: ask_to_abort
-- Only of a run that goes on; the first reason given stays.
INSERT INTO abort_request (run_id, action_name, reason)
SELECT run_id, :action_name, :reason FROM run WHERE run_id = :run_id AND phase IN (1, 2, 3, 4, 9)
ON CONFLICT (run_id, action_name) DO UPDATE SET reason = abort_request.reason;

-- name: abort_requests
SELECT run_id, action_name, reason FROM abort_request WHERE run_id IN (SELECT value FROM json_each(?));

-- name: forget_abort_request
DELETE FROM abort_request WHERE run_id = ? AND action_name = ?;

-- name: forget_abort_requests
DELETE FROM abort_request WHERE run_id = ?;

-- name: run_by_id
SELECT * FROM run WHERE run_id = ?;

-- name: run_ages
SELECT run_id, name, ended_us FROM run ORDER BY run_id DESC;

-- name: delete_run
-- Only as it was seen: who has resumed it meanwhile has another owner.
DELETE FROM run
 WHERE run_id = :run_id AND phase = :seen_phase
   AND owner_boot_id = :seen_boot_id AND owner_pid = :seen_pid AND owner_started_us = :seen_started_us;

-- name: delete_run_tasks
DELETE FROM run_task WHERE run_id = ?;

-- name: note_deleted_run
INSERT INTO deleted_run (run_id, name, folder) VALUES (?, ?, ?);

-- name: deleted_runs
SELECT run_id, folder FROM deleted_run ORDER BY run_id;

-- name: is_name_taken
SELECT 1 FROM run WHERE name = (SELECT name FROM deleted_run WHERE run_id = ?);

-- name: next_actions_to_delete
SELECT count(*), max(action_id) FROM (
    SELECT action_id FROM action
     WHERE action_id > :run_id << 32 AND action_id < (:run_id + 1) << 32
     ORDER BY action_id LIMIT :limit);

-- name: delete_actions
DELETE FROM action WHERE action_id > :run_id << 32 AND action_id <= :last;

-- name: delete_attempts
DELETE FROM attempt WHERE action_id > :run_id << 32 AND action_id <= :last;

-- name: delete_cache_lookups
DELETE FROM cache_lookup WHERE action_id > :run_id << 32 AND action_id <= :last;

-- name: delete_conditions
DELETE FROM condition WHERE action_id > :run_id << 32 AND action_id <= :last;

-- name: forget_deleted_run
DELETE FROM deleted_run WHERE run_id = ?;

-- name: cache_entries_of_run
-- Entries that it computed, or that have their outputs in its folder; `:folder` ends in a slash.
SELECT cache_key, outputs, outputs_file FROM cache_entry
 WHERE run_name = :run_name OR substr(outputs_file, 1, length(:folder)) = :folder;

-- name: cache_files
SELECT outputs_file FROM cache_entry WHERE outputs_file IS NOT NULL;

-- name: move_cache_file
UPDATE cache_entry SET outputs_file = ? WHERE cache_key = ?;

-- name: open_condition
-- The last parameter: whether one that was asked before starts anew.
INSERT INTO condition (action_id, name, prompt, prompt_type, data_type, description, expires_us)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (action_id) DO UPDATE
   SET prompt = excluded.prompt, prompt_type = excluded.prompt_type, data_type = excluded.data_type,
       description = excluded.description, expires_us = excluded.expires_us, answer = NULL, answered_us = NULL
 WHERE ?8;

-- name: condition_state
SELECT expires_us, answer FROM condition WHERE action_id = ?;

-- name: answer_condition
UPDATE condition SET answer = :answer, answered_us = :now_us
 WHERE action_id = :action_id AND answer IS NULL AND (expires_us IS NULL OR expires_us > :now_us)
   AND (SELECT phase FROM action WHERE action.action_id = :action_id) = 9;

-- name: answers
SELECT action_id, answer FROM condition
 WHERE answer IS NOT NULL AND action_id IN (SELECT value FROM json_each(?));

-- name: list_conditions
SELECT condition.*, action.name AS action_name, action.phase, action.created_us
  FROM condition JOIN action ON action.action_id = condition.action_id
 WHERE condition.action_id > :run_id << 32 AND condition.action_id < (:run_id + 1) << 32
 ORDER BY condition.action_id;

-- name: payloads_that_may_name
-- Those of runs that are there, and of the cache (run 0), which hold :prefix or are in a file of their own.
SELECT run.run_id, action.inputs AS payload, action.inputs_file AS file
  FROM action JOIN run ON run.run_id = action.run_id
 WHERE instr(action.inputs, :prefix) OR action.inputs_file IS NOT NULL
UNION ALL
SELECT run.run_id, action.outputs, action.outputs_file
  FROM action JOIN run ON run.run_id = action.run_id
 WHERE instr(action.outputs, :prefix) OR action.outputs_file IS NOT NULL
UNION ALL
SELECT 0, outputs, outputs_file FROM cache_entry WHERE instr(outputs, :prefix) OR outputs_file IS NOT NULL;

-- name: payload_files_of_ended_runs
SELECT action.inputs_file FROM action JOIN run ON run.run_id = action.run_id
 WHERE action.inputs_file IS NOT NULL AND run.ended_us IS NOT NULL
UNION ALL
SELECT action.outputs_file FROM action JOIN run ON run.run_id = action.run_id
 WHERE action.outputs_file IS NOT NULL AND run.ended_us IS NOT NULL;

-- name: note_kept_data
INSERT INTO kept_data (run_name, folder) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: kept_data
SELECT kept_data.run_name, kept_data.folder, run.run_id IS NOT NULL AS is_taken
  FROM kept_data LEFT JOIN run ON run.name = kept_data.run_name;

-- name: forget_kept_data
DELETE FROM kept_data WHERE run_name = ?;
