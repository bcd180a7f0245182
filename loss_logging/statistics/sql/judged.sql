-- Every item's figures with its verdict.
SELECT
    item_statistics.*,
    p_wrong,
    p_odd,
    picture_odds,
    loss_odds,
    verdicts.word_score,
    CASE WHEN bin < 2 THEN word END AS word,
    CASE WHEN bin < 2 THEN better_word END AS better_word,
    bin,
    verdict::VARCHAR AS verdict,
    CASE
        WHEN verdict IS NOT NULL
            THEN concat_ws(', ', if(p_wrong IS NOT NULL, 'pictures', NULL), if(n_paired > 0, 'empty', NULL), if(n_rival > 0, 'rival', NULL))
    END AS evidence,
    (caption_mismatch + coalesce(rival_mismatch, caption_mismatch)) / 2 AS mismatch
FROM item_statistics
LEFT JOIN verdicts ON verdicts.item = item_statistics.item
LEFT JOIN seen ON seen.item = item_statistics.item
