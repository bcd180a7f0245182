-- The captions of the highest losses whose record is not the one that has the item's caption.
SELECT row, caption
FROM (SELECT row_number() OVER () AS row, caption FROM samples WHERE step > $after AND step <= $through)
WHERE row IN (SELECT highest_row FROM item_sums WHERE highest_row IS DISTINCT FROM caption_row)
