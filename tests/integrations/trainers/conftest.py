"""What is no test."""

collect_ignore_glob = ["*_standin"]
