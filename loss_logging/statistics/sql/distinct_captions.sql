-- About how many different captions the items of each dataset have.
SELECT dataset, approx_count_distinct(caption) FROM items GROUP BY dataset
