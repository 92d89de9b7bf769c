"""The grader of the exercises in coursework/:

    tinycnn grade coursework/            is short for    python -m tinycnn.grade coursework/

Every step runs in a process of its own (runner.py, student.py). Its results are compared with tinycnn.reference
(exercise.py), and wrong results with those of known mistakes (mistakes.py, and a module for each kind of step).
"""

from tinycnn.teaching.grade.command import grade_step, main
from tinycnn.teaching.grade.steps import STEPS

__all__ = ["STEPS", "grade_step", "main"]
