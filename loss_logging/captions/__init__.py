"""What captions are worth: the rules that find bad ones, and captions on disk."""
