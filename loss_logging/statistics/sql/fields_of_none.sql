-- Fields of ItemStats that have their default in every item: what is written of items leaves them out, and all others are asked of
-- each item.
SELECT unnest(
    list_concat(
        ['decision'],  -- which the log has not
        if(bool_or(n < count), [], ['non_finite']),
        if(bool_or(n_z > 0), [], ['std_z']),
        if(bool_or(n_paired > 0), [], ['n_paired', 'standard_error', 'robust_z']),
        if(bool_or(n_rival > 0), [], ['rival_mismatch', 'n_rival', 'rival_error']),
        if((SELECT count(verdict) FROM verdicts) > 0, [], ['verdict', 'evidence', 'word', 'better_word']),
        if((SELECT count(p_wrong) FROM verdicts) > 0, [], ['p_wrong', 'picture_odds', 'loss_odds']),
        if((SELECT count(word_score) FROM verdicts) > 0, [], ['word_score']),
        if((SELECT count(p_odd) FROM verdicts) > 0, [], ['p_odd'])
    )
)
FROM items
