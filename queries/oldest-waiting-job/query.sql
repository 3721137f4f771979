SELECT TOP (10) name
      ,operationtypename
      ,createdon
      ,DATEDIFF(second, createdon, GETUTCDATE()) AS waiting_s
      ,asyncoperationid
FROM asyncoperation
WHERE statecode = 0 AND statuscode = 0
ORDER BY createdon, sequence
