-- What the items' captions look like, each by itself: how many look so, and how many of those are one and the same.
SELECT dataset, checked.style, sum(n)::BIGINT AS items, max(n) AS most_alike
FROM (
    SELECT dataset, caption, hash(dataset, caption) AS caption_hash, count(*) AS n
    FROM item_statistics
    WHERE checkable
    GROUP BY dataset, caption
) AS captions
JOIN (SELECT caption_hash, style FROM checked_captions) AS checked USING (caption_hash)
WHERE checked.style IS NOT NULL
GROUP BY dataset, checked.style
ORDER BY dataset, checked.style
