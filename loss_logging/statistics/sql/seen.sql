-- What pictures say of the captions of items, as far as those have the same words now. Words are compared for the few items of
-- which something is known.
WITH known AS MATERIALIZED (
    SELECT item, seen_captions.caption, item_statistics.caption AS now, score, ratio, word, better_word, word_score
    FROM item_statistics
    JOIN seen_captions USING (path)
    WHERE seen_captions.dataset IN ('', item_statistics.dataset)
)
SELECT
    item,
    any_value(score) AS score,
    any_value(ratio) AS ratio,
    any_value(word) AS word,
    any_value(better_word) AS better_word,
    any_value(word_score) AS word_score
FROM known
WHERE words_of(caption) = words_of(now)
GROUP BY ALL
