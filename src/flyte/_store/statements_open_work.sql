-- How much has not ended.

-- name: open_runs_by_phase
SELECT phase, count(*) AS count FROM run WHERE phase IN (1, 2, 3, 4, 9) AND mode <> 'local' GROUP BY phase;

-- name: open_actions_by_phase
SELECT action.kind, action.phase, count(*) AS count
  FROM run JOIN action ON action.action_id > run.run_id << 32 AND action.action_id < (run.run_id + 1) << 32
 WHERE run.phase IN (1, 2, 3, 4, 9) AND run.mode <> 'local' AND action.phase IN (1, 2, 3, 4, 9)
 GROUP BY action.kind, action.phase;
