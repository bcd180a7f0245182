-- Items whose caption a rule objects to, in the order in which a person should look at them.
SELECT i.path, i.dataset, i.caption, i.average_loss AS loss, v.verdict
FROM item_statistics AS i
JOIN flagged_captions AS v USING (dataset, caption)
WHERE checkable
ORDER BY v.severity DESC, i.suspect DESC, v.score DESC, loss DESC NULLS LAST, i.path, i.dataset
LIMIT $k
