-- The folders of items that have just been summed.
SELECT DISTINCT regexp_replace(path, '[^/]*$', '') AS folder FROM new_paths
