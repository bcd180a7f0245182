"""What is no test."""

collect_ignore = ["kohya_standin"]
