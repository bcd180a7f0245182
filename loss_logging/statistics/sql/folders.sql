-- The folders of items that have just been summed.
SELECT DISTINCT left(path, length(path) - length(parse_filename(path, false, 'forward_slash'))) AS folder FROM new_paths
