"""For courses: operators as naive loops, worked examples, exercises and their grader."""
