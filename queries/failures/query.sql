SELECT *
FROM asyncoperation
WHERE statecode = 3 AND statuscode = 31
