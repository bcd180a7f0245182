-- How many items each reason was found on, over all of them.
SELECT reason, count(*) AS n
FROM (
    SELECT unnest(list_concat(coalesce(alone.reasons, []), coalesce(beside.reasons, []))) AS reason
    FROM item_statistics AS i
    LEFT JOIN flagged_captions AS alone USING (dataset, caption)
    LEFT JOIN flagged_items AS beside USING (dataset, path)
    WHERE checkable AND (alone.reasons IS NOT NULL OR beside.reasons IS NOT NULL)
)
GROUP BY reason
ORDER BY n DESC, reason
