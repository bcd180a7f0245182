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
    non_finite,
    std_z,
    n_paired,
    standard_error,
    CASE WHEN judged.decided THEN robust_z(caption_mismatch, middle, spread) END AS robust_z,
    p_wrong,
    p_odd,
    verdict,
    rival_mismatch,
    n_rival,
    rival_error,
    evidence,
    NULL::VARCHAR AS decision  -- which the files of decisions have, and not the log
FROM judged
JOIN paired_items USING (dataset)
ORDER BY dataset
