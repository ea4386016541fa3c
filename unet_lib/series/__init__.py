"""The numbered notebooks, executed one after another by papermill, and a report of what they show.

Rooms: `plan` refuses a wrong request before anything runs, `execute` runs what is planned, `report`
shows what came out. papermill, nbconvert and rich are imported only where they are used, so that
`--help` and a refusal are quick.
"""
