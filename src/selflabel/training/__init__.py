"""One loop for every method: it draws, shows, learns, relabels, saves and resumes."""
