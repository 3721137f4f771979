SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
WHERE statecode = 0 AND statuscode = 0
GROUP BY  statecode,
      statuscode,
     operationtype
ORDER BY Count DESC
