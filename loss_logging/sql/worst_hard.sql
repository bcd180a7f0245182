SELECT dataset, path, caption, hard AS score, count - non_finite AS count, average_loss
FROM item_statistics
WHERE hard IS NOT NULL
ORDER BY hard DESC, dataset, path
LIMIT $k
