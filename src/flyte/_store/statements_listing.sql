-- Runs and actions as the services of the control plane list them. {where}, {sort} and {direction} are made by
-- `queries.py` out of the columns that a service names.

-- name: page_of_runs
SELECT run.*, served_run.run_spec, served_run.source, served_run.created_by, served_run.trigger_name,
       served_run.base_dir, served_run.abort_reason, served_run.aborted_by, {sort} AS sort_value
  FROM run LEFT JOIN served_run ON served_run.run_id = run.run_id
 WHERE {where}
 ORDER BY {order}
 LIMIT :limit;

-- name: page_of_actions
SELECT action.action_id, action.run_id, action.name, action.parent_id, parent.name AS parent_name, action.kind,
       action.task_name, action.group_name, action.phase, action.attempt_no, action.created_us, action.started_us,
       action.ended_us, action.error, action.cache_status, served_action.target, served_action.spec_digest,
       served_action.recovered_from, served_action.output_uri, served_action.abort_reason, served_action.aborted_by,
       served_action.signalled_by, condition.name AS condition_name, condition.prompt, condition.prompt_type,
       condition.data_type, condition.description, condition.expires_us, condition.answer, {sort} AS sort_value
  FROM action
  LEFT JOIN action AS parent ON parent.action_id = action.parent_id
  LEFT JOIN served_action ON served_action.action_id = action.action_id
  LEFT JOIN condition ON condition.action_id = action.action_id
 WHERE {where}
 ORDER BY {order}
 LIMIT :limit;

-- name: action_states
-- Of those made after one, and of the open ones of a watcher: what tells whether they look different by now.
SELECT action_id, phase, attempt_no, started_us, ended_us, cache_status
  FROM action
 WHERE (action_id > :after AND action_id < (:run_id + 1) << 32)
    OR action_id IN (SELECT value FROM json_each(:open_ids))
 ORDER BY action_id;

-- name: cache_source
SELECT found_run, found_action FROM cache_lookup WHERE action_id = ? AND found_run IS NOT NULL;

-- name: action_payloads
SELECT inputs, inputs_file, outputs, outputs_file FROM action WHERE action_id = ?;

-- name: task_groups
-- Of each task that runs of a place were made of since, until then.
SELECT run.task_name, count(*) AS total, max(run.created_us) AS latest_us, max(run.ended_us) AS finished_us,
       sum(run.phase IN (5, 10)) AS succeeded, sum(run.phase IN (6, 7, 8)) AS failed,
       avg(CASE WHEN run.ended_us IS NOT NULL THEN run.ended_us - run.created_us END) AS average_us
  FROM run LEFT JOIN served_run ON served_run.run_id = run.run_id
 WHERE {where}
 GROUP BY run.task_name
 ORDER BY {order}
 LIMIT :limit;

-- name: task_group_phases
SELECT run.phase, count(*) AS count
  FROM run LEFT JOIN served_run ON served_run.run_id = run.run_id
 WHERE run.task_name = :task_name AND {where}
 GROUP BY run.phase
 ORDER BY run.phase;

-- name: task_group_runs
SELECT run.name, run.phase, root.error, root.started_us - root.created_us AS waited_us, served_run.created_by
  FROM run
  LEFT JOIN action AS root ON root.action_id = (run.run_id << 32 | 1)
  LEFT JOIN served_run ON served_run.run_id = run.run_id
 WHERE run.task_name = :task_name AND {where}
 ORDER BY run.run_id DESC
 LIMIT :limit;

-- name: latest_run_of_task
SELECT name, project, domain, phase, created_us FROM run WHERE task_name = ? AND (project IS NULL OR project = ?)
   AND (domain IS NULL OR domain = ?) AND (?4 IS NULL OR version = ?4) ORDER BY run_id DESC LIMIT 1;
