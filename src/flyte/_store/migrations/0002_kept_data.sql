-- Deleted runs whose folder still has data that cached results or other runs hold.
CREATE TABLE kept_data (
    run_name TEXT PRIMARY KEY,
    -- Relative to the home.
    folder   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
