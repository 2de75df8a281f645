-- Deployed tasks, projects, triggers, secrets and settings.

-- name: deploy_task
INSERT INTO deployed_task (project, domain, name, version, spec_digest, deployed_by, deployed_us, short_name,
                           environment_name, short_description, is_entrypoint)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: deployed_digest
SELECT spec_digest FROM deployed_task WHERE project = ? AND domain = ? AND name = ? AND version = ?;

-- name: deployed_task
-- Without a version, the one that was deployed last.
SELECT deployed_task.*, task_spec.spec
  FROM deployed_task JOIN task_spec ON task_spec.digest = deployed_task.spec_digest
 WHERE project = ?1 AND domain = ?2 AND name = ?3 AND (?4 = '' OR version = ?4)
 ORDER BY task_id DESC
 LIMIT 1;

-- name: page_of_tasks
SELECT deployed_task.*, {sort} AS sort_value FROM deployed_task WHERE {where} ORDER BY {order} LIMIT :limit;

-- name: count_tasks
SELECT count(*) FROM deployed_task WHERE {where};

-- name: put_project
INSERT INTO project (name, display_name, description, labels, state, created_us, updated_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: update_project
UPDATE project SET display_name = ?, description = ?, labels = ?, state = ?, updated_us = ? WHERE name = ?;

-- name: project
SELECT * FROM project WHERE name = ?;

-- name: page_of_projects
-- The key of a listing is a number, and projects have none: `serial` is their place by age.
WITH numbered AS (SELECT *, row_number() OVER (ORDER BY created_us, name) AS serial FROM project)
SELECT *, {sort} AS sort_value FROM numbered WHERE {where} ORDER BY {order} LIMIT :limit;

-- name: trigger
SELECT * FROM task_trigger WHERE project = ? AND domain = ? AND task_name = ? AND name = ?;

-- name: triggers_of_task
SELECT * FROM task_trigger WHERE project = ? AND domain = ? AND task_name = ? AND deleted_us IS NULL ORDER BY name;

-- name: put_trigger
INSERT INTO task_trigger (project, domain, task_name, name, revision, task_version, spec, automation, is_active,
                          deployed_by, updated_by, deployed_us, updated_us)
VALUES (:project, :domain, :task_name, :name, 1, :task_version, :spec, :automation, :is_active, :by, :by, :now_us,
        :now_us)
ON CONFLICT (project, domain, task_name, name) DO UPDATE
   SET revision = task_trigger.revision + 1, task_version = excluded.task_version, spec = excluded.spec,
       automation = excluded.automation, is_active = excluded.is_active, updated_by = excluded.updated_by,
       updated_us = excluded.updated_us, deployed_by = excluded.deployed_by, deployed_us = excluded.deployed_us,
       deleted_us = NULL;

-- name: switch_trigger
UPDATE task_trigger SET is_active = ?, revision = revision + 1, updated_by = ?, updated_us = ? WHERE trigger_id = ?;

-- name: delete_trigger
UPDATE task_trigger SET is_active = 0, deleted_us = ?1, revision = revision + 1, updated_by = ?2, updated_us = ?1
 WHERE trigger_id = ?3;

-- name: note_trigger_revision
INSERT INTO trigger_revision (trigger_id, revision, change, details, created_us) VALUES (?, ?, ?, ?, ?);

-- name: trigger_revision
SELECT details FROM trigger_revision WHERE trigger_id = ? AND revision = ?;

-- name: page_of_triggers
SELECT task_trigger.*, {sort} AS sort_value FROM task_trigger WHERE {where} ORDER BY {order} LIMIT :limit;

-- name: page_of_trigger_revisions
SELECT trigger_revision.*, {sort} AS sort_value FROM trigger_revision WHERE {where} ORDER BY {order} LIMIT :limit;

-- name: create_secret
INSERT INTO served_secret (project, domain, name, kind, sealed, created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: update_secret
UPDATE served_secret SET sealed = ?, kind = ?, updated_us = ? WHERE project = ? AND domain = ? AND name = ?;

-- name: delete_secret
DELETE FROM served_secret WHERE project = ? AND domain = ? AND name = ?;

-- name: secret
SELECT * FROM served_secret WHERE project = ? AND domain = ? AND name = ?;

-- name: list_secrets
-- Those of a level, and of no other.
SELECT project, domain, name, kind, created_us FROM served_secret
 WHERE project = :project AND domain = :domain AND name > :after
 ORDER BY name
 LIMIT :limit;

-- name: create_settings
INSERT INTO setting (project, domain, settings, version, updated_by, updated_us) VALUES (?, ?, ?, 1, ?, ?)
ON CONFLICT DO NOTHING;

-- name: update_settings
UPDATE setting SET settings = ?, version = version + 1, updated_by = ?, updated_us = ?
 WHERE project = ? AND domain = ? AND version = ?;

-- name: settings
SELECT * FROM setting WHERE project = ? AND domain = ?;
