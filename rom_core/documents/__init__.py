"""Files that come with a request: what they are, whether Bedrock takes them, and what is hidden in them.

`prepare` makes of the files in a request the blocks that Converse takes, or raises an AttachmentRefused that says what
is wrong with which of them. Nothing here is sent or kept.

Nothing is imported here: `worker` runs in a process of its own, which starts sooner the less it imports.

The modules: `kinds` (what is read), `attachment` (one file and its label), `prepare` (all files of a request),
`examiner` (a process of its own looks into them), `worker` (that process), `pdf`, `ooxml` and `image` (what it does).
"""
