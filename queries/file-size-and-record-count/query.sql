SELECT count(*) as RecordCount
   ,sum(filesizeinbytes) as TotalSize
   ,owningextensionid
   ,owningextensionidname
   ,statecode
   ,statuscode
   ,operationtype from fileattachment
 join asyncoperation on fileattachment.fileattachmentid =  asyncoperation.datablobid
 where fileattachment.objectidtypecode = 4700
 group by  owningextensionid, owningextensionidname, statecode, statuscode, operationtype
 order by TotalSize desc
