"""Assignments for a class: the student release, private variants, and grading on nbgrader.

One concept a file: ``variants`` (the source of an assignment), ``release`` (what students get), ``collect`` and
``repair`` (what they hand in), ``isolation``, ``jail``, ``guard``, ``kernel``, ``execute`` and ``jobs`` (running it
safely), ``gradebook`` and ``report`` (points), ``grade`` (the command), ``submissions`` (test submissions),
``lock`` (versions).
"""
