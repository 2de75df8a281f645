-- What the scheduler of the control plane asks and records.

-- name: insert_served_run
INSERT INTO served_run (run_id, run_spec, source, created_by, trigger_name, base_dir, raw_data_prefix, abort_reason,
                        aborted_by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_task_spec
INSERT INTO task_spec (digest, spec) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: record_served_actions
INSERT INTO served_action (action_id, target, spec_digest, cache_key, recovered_from, output_uri, called_in, tries,
                           due_us, abort_reason, aborted_by, signalled_by)
VALUES {rows}
ON CONFLICT (action_id) DO UPDATE
   SET target = excluded.target, spec_digest = excluded.spec_digest, cache_key = excluded.cache_key,
       recovered_from = excluded.recovered_from, output_uri = excluded.output_uri, called_in = excluded.called_in,
       tries = excluded.tries, due_us = excluded.due_us, abort_reason = excluded.abort_reason, aborted_by = excluded.aborted_by, signalled_by = excluded.signalled_by;

-- name: abort_served_run
UPDATE served_run SET abort_reason = ?, aborted_by = ? WHERE run_id = ?;

-- name: served_run
SELECT * FROM served_run WHERE run_id = ?;

-- name: served_actions
SELECT action_id, target, spec_digest, cache_key, recovered_from, output_uri, called_in, tries, due_us, abort_reason,
       aborted_by, signalled_by
  FROM served_action WHERE action_id > :run_id << 32 AND action_id < (:run_id + 1) << 32;

-- name: task_spec
SELECT spec FROM task_spec WHERE digest = ?;

-- name: open_served_runs
SELECT name FROM run WHERE phase IN (1, 2, 3, 4, 9) AND mode IN ('remote', 'hybrid') ORDER BY run_id;

-- name: delete_served_actions
DELETE FROM served_action WHERE action_id > :run_id << 32 AND action_id <= :last;

-- name: delete_served_run
DELETE FROM served_run WHERE run_id = ?;

-- name: orphaned_specs
-- Specs that no action and no deployed task has.
SELECT digest FROM task_spec
EXCEPT SELECT spec_digest FROM served_action
EXCEPT SELECT spec_digest FROM deployed_task
 LIMIT ?;

-- name: delete_orphaned_spec
DELETE FROM task_spec
 WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM deployed_task WHERE deployed_task.spec_digest = task_spec.digest);

-- name: all_specs
SELECT spec FROM task_spec;

-- name: messages_that_may_name
-- What is recorded beside inputs and outputs, where it holds :prefix.
SELECT spec AS message FROM task_spec WHERE instr(spec, :prefix)
UNION ALL SELECT run_spec FROM served_run WHERE instr(run_spec, :prefix)
UNION ALL SELECT target FROM served_action WHERE instr(target, :prefix)
UNION ALL SELECT CAST(output_uri AS BLOB) FROM served_action WHERE instr(CAST(output_uri AS BLOB), :prefix)
UNION ALL SELECT spec FROM task_trigger WHERE instr(spec, :prefix)
UNION ALL SELECT details FROM trigger_revision WHERE instr(details, :prefix)
UNION ALL SELECT settings FROM setting WHERE instr(settings, :prefix);
