SELECT count() FROM `shop`.`sales` WHERE `id` = {id:Int64}
