"""Where each example's loss is while torch computes: the layouts of tensors, and what each call does to them."""
