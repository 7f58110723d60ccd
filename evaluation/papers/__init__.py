"""The papers' tables on a user's own weights: files of edits read, pictures drawn, judged and reported."""
