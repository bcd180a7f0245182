-- Every item's figures with its verdict. A hash takes 8 bytes where names take a hundred.
SELECT
    item_statistics.*,
    p_wrong,
    p_odd,
    bin,
    verdict::VARCHAR AS verdict,
    CASE
        WHEN verdict IS NOT NULL
            THEN concat_ws(', ', if(p_wrong IS NOT NULL, 'pictures', NULL), if(n_paired > 0, 'empty', NULL), if(n_rival > 0, 'rival', NULL))
    END AS evidence,
    (caption_mismatch + coalesce(rival_mismatch, caption_mismatch)) / 2 AS mismatch
FROM item_statistics
LEFT JOIN verdicts ON item_hash = hash(dataset, path)
