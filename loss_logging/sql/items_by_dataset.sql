SELECT
    dataset,
    path,
    count,
    average_loss,
    min_loss,
    max_loss,
    std_loss,
    last_loss,
    hard,
    caption_mismatch,
    caption,
    non_finite
FROM item_statistics
ORDER BY dataset
