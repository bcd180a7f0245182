SELECT dataset, path FROM item_statistics WHERE suspect
