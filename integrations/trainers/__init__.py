"""Trainers and model libraries whose losses are recorded; each module imports its library when it is used."""
