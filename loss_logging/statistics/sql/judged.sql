-- Every item's figures with its verdict. A hash takes 8 bytes where names take a hundred.
SELECT
    item_statistics.*,
    p_wrong,
    p_odd,
    bin,
    verdict::VARCHAR AS verdict
FROM item_statistics
LEFT JOIN verdicts ON item_hash = hash(dataset, path)
