-- What the items' captions look like, each by itself: how many look so, and how many of those are one and the same. The hash
-- stands in for the caption, see unchecked_captions.sql.
SELECT captions.dataset, style, sum(n)::BIGINT AS items, max(n) AS most_alike
FROM (
    SELECT caption_hash, any_value(dataset) AS dataset, count(*) AS n
    FROM item_statistics
    WHERE checkable
    GROUP BY caption_hash
) AS captions
JOIN checked_captions USING (caption_hash)
WHERE style >= 0
GROUP BY captions.dataset, style
ORDER BY captions.dataset, style
