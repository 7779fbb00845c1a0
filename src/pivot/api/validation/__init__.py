"""Checking other hosts' answers: what was drawn, what the executor shows for it, the replay, the judgement, report and vote.

duties.py draws, checks.py keeps what is to be done, examiner.py does one check with evidence.py, replay.py and judge.py,
reports.py tells the chain; artifacts_service.py is the other side: it shows what this host has answered to whoever must check it.
"""
