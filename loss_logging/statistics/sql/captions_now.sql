-- How many captions of items there are to check, and a sum that changes with each of them.
SELECT count(*), sum(hash(item, caption_hash)) FROM item_statistics WHERE checkable
