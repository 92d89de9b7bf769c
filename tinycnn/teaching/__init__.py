"""Course material: operators as naive loops, worked examples, and the grader of the exercises."""
