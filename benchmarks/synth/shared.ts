// What the stacks share: names, roles, logs, functions, queues, buckets.
import * as cdk from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

export const PREFIX = 'handbook-prod';
export const ACCOUNT = '333333333333';
export const REGION = 'us-east-1';

/** A stack that is told its zones, so that nothing is looked up. */
export class Base extends cdk.Stack {
  constructor(app: cdk.App, name: string) {
    super(app, `${PREFIX}-${name}`, {
      env: { account: ACCOUNT, region: REGION },
      terminationProtection: true,
    });
    cdk.Tags.of(this).add('service', 'handbook');
    cdk.Tags.of(this).add('environment', 'prod');
  }

  get availabilityZones(): string[] {
    return ['a', 'b', 'c'].map((zone) => `${REGION}${zone}`);
  }
}

/** What a role may do: actions on resources. */
export type Grants = [actions: string[], resources: string[]][];

export function role(scope: Construct, id: string, service: string, grants: Grants): iam.Role {
  const made = new iam.Role(scope, id, {
    assumedBy: new iam.ServicePrincipal(service),
    description: `What ${id} may do`,
  });
  for (const [actions, resources] of grants) {
    made.addToPolicy(new iam.PolicyStatement({ actions, resources }));
  }
  return made;
}

export function logGroup(
  scope: Construct, id: string, name: string, key?: kms.IKey,
): logs.LogGroup {
  return new logs.LogGroup(scope, id, {
    logGroupName: name,
    retention: logs.RetentionDays.ONE_MONTH,
    encryptionKey: key,
    removalPolicy: cdk.RemovalPolicy.RETAIN,
  });
}

export function kitFunction(
  scope: Construct, id: string, name: string, key: kms.IKey, grants: Grants,
  network?: { vpc: ec2.IVpc; subnets: ec2.SubnetSelection },
): lambda.Function {
  const group = logGroup(scope, `${id}Logs`, `/llmops/${PREFIX}/${name}`, key);
  const executor = role(scope, `${id}Role`, 'lambda.amazonaws.com', [
    [['logs:CreateLogStream', 'logs:PutLogEvents'], [group.logGroupArn]],
    ...grants,
  ]);
  const inside = network && {
    vpc: network.vpc,
    vpcSubnets: network.subnets,
    securityGroups: [
      new ec2.SecurityGroup(scope, `${id}Group`, {
        vpc: network.vpc, description: `What ${name} reaches`, allowAllOutbound: false,
      }),
    ],
  };
  return new lambda.Function(scope, `${id}Function`, {
    functionName: `${PREFIX}-${name}`,
    description: `The function ${name} of ${PREFIX}`,
    runtime: lambda.Runtime.PYTHON_3_13,
    architecture: lambda.Architecture.ARM_64,
    handler: `llmops_functions.${name}.handler`,
    code: lambda.Code.fromAsset(process.env.FUNCTIONS!),
    role: executor,
    logGroup: group,
    timeout: cdk.Duration.seconds(30),
    memorySize: 256,
    environment: { NAME: name },
    environmentEncryption: key,
    ...inside,
  });
}

export function bucket(
  scope: Construct, id: string, more: s3.BucketProps, accessLogs?: s3.IBucket,
): s3.Bucket {
  const made = new s3.Bucket(scope, id, {
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    versioned: true,
    removalPolicy: cdk.RemovalPolicy.RETAIN,
    ...more,
  });
  if (accessLogs) {
    (made.node.defaultChild as s3.CfnBucket).loggingConfiguration = {
      destinationBucketName: accessLogs.bucketName, logFilePrefix: `s3/${id.toLowerCase()}/`,
    };
  }
  return made;
}

export function queues(scope: Construct, key: kms.IKey): sqs.Queue {
  const dead = new sqs.Queue(scope, 'DeadLetters', {
    queueName: `${PREFIX}-jobs-dead`,
    retentionPeriod: cdk.Duration.days(14),
    encryption: sqs.QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
  });
  return new sqs.Queue(scope, 'Queue', {
    queueName: `${PREFIX}-jobs`,
    visibilityTimeout: cdk.Duration.seconds(60),
    encryption: sqs.QueueEncryption.KMS,
    encryptionMasterKey: key,
    enforceSSL: true,
    deadLetterQueue: { queue: dead, maxReceiveCount: 3 },
  });
}

export interface Topics {
  critical: sns.Topic;
  warning: sns.Topic;
}

export function encryptionKey(scope: Construct, alias: string): kms.Key {
  const key = new kms.Key(scope, 'Key', {
    enableKeyRotation: true,
    description: `Data, logs and alarms of ${PREFIX}`,
    pendingWindow: cdk.Duration.days(30),
    removalPolicy: cdk.RemovalPolicy.RETAIN,
  });
  const services = [`logs.${REGION}.amazonaws.com`, 'cloudwatch.amazonaws.com', 'budgets.amazonaws.com'];
  for (const service of services) {
    key.addToResourcePolicy(new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal(service)],
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'],
      conditions: { StringEquals: { 'aws:SourceAccount': ACCOUNT } },
    }));
  }
  new kms.Alias(scope, 'KeyAlias', { aliasName: alias, targetKey: key });
  return key;
}

export function topics(scope: Construct, name: string, key: kms.IKey): Topics {
  const topic = (id: string): sns.Topic => {
    const made = new sns.Topic(scope, id, {
      topicName: `${PREFIX}-${name}-${id.toLowerCase()}`, masterKey: key, enforceSSL: true,
    });
    made.addToResourcePolicy(new iam.PolicyStatement({
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [made.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': ACCOUNT } },
    }));
    new sns.Subscription(scope, `${id}Mail`, {
      topic: made, protocol: sns.SubscriptionProtocol.EMAIL, endpoint: 'llm-on-call@example.com',
    });
    return made;
  };
  return { critical: topic('Critical'), warning: topic('Warning') };
}
