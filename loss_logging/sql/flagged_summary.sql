-- How many items each reason was found on, over all of them.
SELECT reason, count(*) AS n
FROM (
    SELECT unnest(v.reasons) AS reason
    FROM item_statistics AS i
    JOIN flagged_captions AS v USING (dataset, caption)
    WHERE checkable
)
GROUP BY reason
ORDER BY n DESC, reason
