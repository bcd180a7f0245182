-- The records of the steps ($after, $through], divided by item: all of an item's in one part. Columns that no sum needs stay out.
SELECT * EXCLUDE (components), hash(dataset, path) % $parts::UBIGINT AS part
FROM records
WHERE step > $after AND step <= $through
