"""What clients want done: jobs, what each asks for and in which words, the calls that do it, and
the places where they wait. Knows targets, not how they are found."""
