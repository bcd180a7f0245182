-- Items whose caption a rule objects to, by itself or beside the others, in the order in which a person should look at them.
SELECT
    i.path,
    i.dataset,
    i.caption,
    i.average_loss AS loss,
    alone.verdict,
    beside.verdict
FROM item_statistics AS i
LEFT JOIN flagged_captions AS alone USING (dataset, caption)
LEFT JOIN flagged_items AS beside USING (dataset, path)
WHERE checkable AND (alone.verdict IS NOT NULL OR beside.verdict IS NOT NULL)
ORDER BY
    greatest(alone.severity, beside.severity) DESC,
    i.suspect DESC,
    1 - (1 - coalesce(alone.score, 0)) * (1 - coalesce(beside.score, 0)) DESC,
    loss DESC NULLS LAST,
    i.path,
    i.dataset
LIMIT $k
