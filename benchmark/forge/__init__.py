"""From a pull request to a row: what the jobs of `.github/workflows/evaluate.yml` run, from a commit the project trusts.

change    what a pull request changes, read from git's objects; nothing of it is checked out or run
gate      what it may change: one entry, or adversarial images, and nothing else
plan      which entries are to be evaluated, as a matrix of jobs; the entry as plain files
receive   what came back from a job that ran foreign code: records, held against what they must follow from
publish   records → a commit on the main branch, by a job that runs no foreign code
summary   the figures of a preview, as Markdown whose every word is escaped
"""
