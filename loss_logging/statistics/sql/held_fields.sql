-- The fields of ItemStats with a default that some item has another value of.
SELECT unnest(
    list_concat(
        if(bool_or(n < count), ['non_finite'], []),
        if(bool_or(n_z > 0), ['std_z'], []),
        if(bool_or(n_paired > 0), ['n_paired', 'standard_error', 'robust_z', 'verdict', 'evidence'], []),
        if(bool_or(n_rival > 0), ['rival_mismatch', 'n_rival', 'rival_error'], []),
        if(
            (SELECT count(p_wrong) FROM verdicts) > 0,
            ['p_wrong', 'verdict', 'evidence', 'picture_odds', 'loss_odds', 'word', 'better_word'],
            []
        ),
        if((SELECT count(p_odd) FROM verdicts) > 0, ['p_odd'], [])
    )
)
FROM items
