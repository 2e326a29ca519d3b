"""The load test: how many users a server carries, and what may never happen meanwhile. `rom load`, docs/load.md.

Users are played in Locust's process by `scenario`, which makes `plays` happen with a `player` and has every answer
checked by `invariants`. This process starts them and watches the server (`run`), judges by the rules of the gate
(`judging`) and reports (`page`, `plots`).
"""
